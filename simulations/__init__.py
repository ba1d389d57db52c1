"""Simulation: a configuration, a population and worker processes in; a result out.

`from tacit.simulations.simulate import simulate` and `from tacit.simulations.config import Config`
are where to start.
"""
