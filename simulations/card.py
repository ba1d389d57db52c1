"""What people say of a model, for its card."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .evaluation import Section

Said = Annotated[str | None, Field(min_length=1, max_length=4000)]


class CardSection(Section):
    """What only people can say; reports print it as declared. Nobody checks it, and it changes no result.

    The fields are those of a model card (Mitchell and others, arXiv:1810.03993) that no run can measure,
    and the legal basis on which the rows are used. What is left out is reported as missing.
    """

    owner: Said = None
    contact: Said = None
    licence: Said = None
    citation: Said = None
    intended_use: Said = None
    intended_users: Said = None
    out_of_scope: Said = None
    factors: Said = None
    acceptance: Said = None
    data_provenance: Said = None
    legal_basis: Said = None
    ethical_considerations: Said = None
    caveats: Said = None
