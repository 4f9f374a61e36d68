"""Engine environments: how each engine is installed, found, checked, and given a small model.

``recipes`` says what an environment is made of, ``install`` builds it, ``registry`` finds it, ``doctor`` looks at it,
``models`` makes models that need no hub.
"""
