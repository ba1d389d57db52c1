"""What a run would cost: rounds, bytes, and time from a few steps that were really taken here."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median

from ..client.memory import Memory
from ..reports.unprotected import STATEMENT, UNPROTECTED
from ..server.progress import Committed
from ..server.store import Store
from ..simulations.setup import Setup
from ..simulations.simulate import in_process, make_job, one_thread, worker_count
