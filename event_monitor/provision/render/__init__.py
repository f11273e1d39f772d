"""Render: the forms a stack is written in; each is a pure function of the model."""
