from __future__ import annotations

import gzip
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tacit.simulations.dataset import DataError, Dataset
from tacit.simulations.datasets import DATASETS, load
from tacit.simulations.text import ALPHABET


class Facts(NamedTuple):
    rows: int
    official_test: int
    shape: tuple[int, ...]
    classes: int
    owners: int
    groups: tuple[str, ...] = ()


FACTS = {
    "digits": Facts(1797, 0, (1, 8, 8), 10, 0),
    "breast_cancer": Facts(569, 0, (30,), 2, 0),
    "wine": Facts(178, 0, (13,), 3, 0),
    "diabetes": Facts(442, 0, (10,), 0, 0, ("sex",)),
    "synthetic": Facts(35_621, 0, (60,), 10, 100),
    "heart_disease": Facts(740, 0, (13,), 2, 4, ("sex", "age")),
    "fashion_mnist": Facts(70_000, 10_000, (1, 28, 28), 10, 0),
    "adult": Facts(48_842, 16_281, (47,), 2, 16, ("sex", "race", "age", "doctorate")),
    "tcga_brca": Facts(1_088, 222, (39,), 0, 6, ("age", "race")),
    "acs": Facts(109_876, 0, (8,), 2, 22, ("sex", "age")),
    "shakespeare": Facts(47_274, 0, (80,), 77, 446),
    "sms_spam": Facts(5_574, 0, (1024,), 2, 0),
    "spoken_digits": Facts(3_000, 300, (1, 32, 64), 10, 6),
}
BUNDLED = ("digits", "breast_cancer", "wine", "diabetes", "synthetic")
needs_data = pytest.mark.skipif(
    "TACIT_DATA" not in os.environ, reason="TACIT_DATA does not say where the real data is"
)
every_dataset = pytest.mark.parametrize(
    "name",
    [name if name in BUNDLED else pytest.param(name, marks=needs_data) for name in DATASETS],
)

loaded = cache(load)


@every_dataset
def test_a_data_set_has_the_rows_it_should(name: str) -> None:
    dataset, facts = loaded(name), FACTS[name]
    found = Facts(
        len(dataset.data),
        int(dataset.test.sum()),
        dataset.shape,
        dataset.classes,
        len(dataset.owners),
        tuple(dataset.group_names),
    )
    assert found == facts
    assert dataset.name == name


@every_dataset
def test_its_arrays_are_aligned_finite_and_of_the_agreed_types(name: str) -> None:
    dataset = loaded(name)
    data = dataset.data
    codes = name == "shakespeare"
    assert data.features.dtype == (np.int64 if codes else np.float32)
    assert data.targets.dtype == (np.int64 if dataset.classes else np.float32)
    assert np.isfinite(data.features.min() + data.features.max())
    assert dataset.test.shape == (len(data),)
    assert dataset.test.dtype == np.bool_
    if dataset.classes:
        assert set(np.unique(data.targets)) <= set(range(dataset.classes))
    assert dataset.tabular == (len(dataset.shape) == 1 and name not in ("shakespeare", "sms_spam"))


@every_dataset
def test_its_owners_and_groups_are_codes_of_names_that_occur(name: str) -> None:
    dataset = loaded(name)
    assert (dataset.owner is None) == (not dataset.owners)
    if dataset.owner is not None:
        assert set(np.unique(dataset.owner)) == set(range(len(dataset.owners)))
        assert len(set(dataset.owners)) == len(dataset.owners)
    assert set(dataset.data.groups) == set(dataset.group_names)
    for attribute, names in dataset.group_names.items():
        codes = dataset.data.groups[attribute]
        assert codes.dtype == np.int64
        assert set(np.unique(codes)) == set(range(len(names)))


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(DataError, match="did you mean 'heart_disease'"):
        load("heart_diseases")


def column(dataset: Dataset, index: int) -> np.ndarray:
    values: np.ndarray = dataset.data.features[:, index]
    return values


@needs_data
def test_adult_has_its_published_base_rates_and_one_value_of_each_kind() -> None:
    adult = loaded("adult")
    train, test = adult.data.targets[~adult.test], adult.data.targets[adult.test]
    assert (train.sum(), test.sum()) == (7_841, 3_846)
    assert adult.owner is not None
    np.testing.assert_array_equal(column(adult, 1), adult.owner + 1)  # years of schooling
    doctors = adult.data.groups["doctorate"] == 1
    assert (doctors[~adult.test].sum(), doctors[adult.test].sum()) == (413, 181)
    kinds = np.split(adult.data.features[:, 7:], [8, 15, 29, 35], axis=1)
    missing = [int((kind.sum(axis=1) == 0).sum()) for kind in kinds]
    assert missing == [1836 + 963, 0, 1843 + 966, 0, 0]
    assert all(kind.sum(axis=1).max() == 1 for kind in kinds)


@needs_data
def test_adult_and_sms_spam_read_the_official_files_and_ours_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UCI's have no column names, a remark on the first line of adult.test, and a zip archive."""
    ours = Path(os.environ["TACIT_DATA"])
    (tmp_path / "adult").mkdir()
    for half, first in (("data", b""), ("test", b"|1x3 Cross validator\n")):
        _, _, rows = gzip.decompress((ours / f"adult/adult.{half}.csv.gz").read_bytes()).partition(
            b"\n"
        )
        (tmp_path / "adult" / f"adult.{half}").write_bytes(first + rows)
    (tmp_path / "sms_spam").mkdir()
    with zipfile.ZipFile(tmp_path / "sms_spam" / "sms+spam+collection.zip", "w") as archive:
        archive.writestr("readme", "SMS Spam Collection v.1")
        messages = gzip.decompress((ours / "sms_spam/sms.tsv.gz").read_bytes())
        archive.writestr("SMSSpamCollection", messages)
    monkeypatch.setenv("TACIT_DATA", str(tmp_path))
    for name in ("adult", "sms_spam"):
        np.testing.assert_array_equal(load(name).data.features, loaded(name).data.features)
        np.testing.assert_array_equal(load(name).data.targets, loaded(name).data.targets)


@needs_data
def test_acs_leaves_out_whatever_adds_up_to_the_label() -> None:
    acs = loaded("acs")
    assert acs.data.targets.mean() == pytest.approx(0.24150860970548618)
    for index in range(acs.shape[0]):
        correlation = np.corrcoef(column(acs, index), acs.data.targets)[0, 1]
        assert abs(correlation) < 0.3, "no single column says what somebody earns"


@needs_data
def test_shakespeare_targets_are_the_next_characters() -> None:
    plays = loaded("shakespeare")
    features, targets = plays.data.features, plays.data.targets
    np.testing.assert_array_equal(features[:, 1:], targets[:, :-1])
    text = "".join(ALPHABET[code] for code in features[0])
    assert text.startswith("So shaken as we are, so wan with care,\nFind we a time")
    assert plays.owners[0] == "1henryiv/KING HENRY IV"
    assert plays.owner is not None
    assert np.bincount(plays.owner).min() >= 24


@needs_data
def test_speakers_keep_their_loudness_and_silence_is_zero() -> None:
    clips = loaded("spoken_digits")
    assert clips.owner is not None
    loudness = [clips.data.features[clips.owner == s].mean() for s in range(6)]
    assert max(loudness) > 3 * min(loudness)
    assert clips.data.features.min() == 0
    assert clips.data.features.max() < 1
    np.testing.assert_array_equal(np.bincount(clips.owner[clips.test]), [50] * 6)


@needs_data
def test_spam_is_as_frequent_as_published() -> None:
    messages = loaded("sms_spam")
    assert messages.data.targets.sum() == 747
    lengths = np.linalg.norm(messages.data.features, axis=1)
    assert set(np.round(lengths, 5)) <= {0.0, 1.0}
