"""The reputation role: what is known of sender domains becomes grades, each change an event with its reasons."""
