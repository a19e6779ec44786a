"""The backend of the demos: one file for each, on the two sides of the broker's HTTP interface.

`server.py` takes the broker's calls, `broker.py` makes calls to the broker; `counter.py`, `echo.py` and `chat.py` are what
the demos are about. Standard library only. No file here knows Bayeux.
"""
