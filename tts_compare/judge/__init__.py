"""The files of a run -> scores, grades, points and one analysis; several runs joined, and other tools' results."""
