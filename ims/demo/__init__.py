"""`ims demo`: break a service on purpose and watch, by the clock, how it comes back."""
