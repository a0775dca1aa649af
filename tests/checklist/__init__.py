"""Behaviour cases after CheckList (Ribeiro et al. 2020): templates, their expansion, and how an answer is judged."""
