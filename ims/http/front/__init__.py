"""The front: what reads requests and writes answers in ims-web and the webhook, where a slow client costs nothing.

One event loop a process holds all connections. A thread is taken only for a request that has arrived whole, and given
back as soon as its answer is made, however slowly the client takes it. Gunicorn starts, watches and stops the
processes; `worker.py` is its worker class.
"""
