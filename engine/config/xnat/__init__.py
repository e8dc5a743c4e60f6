"""XNAT's configuration in XNAT's JSON, and ours: pure translation, checked by the model.

In: records as XNAT's REST resources take and give them. Out: values of the model, and the same
records. Read `receivers.py` first; `site.py` and `processors.py` translate the rest.
"""
