"""The HTTP front end of ims-web and the webhook: it reads requests and writes answers, so slow clients hold no threads.

In each process one event loop holds all connections. A request gets a thread only when it has arrived completely, and
the thread is free again as soon as the answer is ready, however slowly the client reads it. Gunicorn starts, watches
and stops the processes; `worker.py` is its worker class.
"""
