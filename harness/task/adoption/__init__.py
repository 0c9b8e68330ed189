"""Brings an autoresearch checkout over as a task, without a change to it. Reads it as text and runs nothing of it
here.
"""
