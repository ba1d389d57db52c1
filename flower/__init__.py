"""The bridge to Flower, both ways: tacit on Flower's engine, Flower's apps and strategies on tacit's.

Nothing else in the package imports Flower, which the extra `flower` installs.
"""
