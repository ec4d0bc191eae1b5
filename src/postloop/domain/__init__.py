"""Rules of deliverability: pure functions of their arguments, standard library only."""
