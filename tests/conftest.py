"""Fixtures that tests of several packages share, and what holds for all of their processes."""

import gc
import os

pytest_plugins = ["contracts.postgresql"]

# A test that forks has objects of gRPC around, and who lets go of one in a forked process never returns.
os.register_at_fork(after_in_child=gc.disable)
