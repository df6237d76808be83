"""The progress display outside a terminal."""

from cymbals import ALS


def test_progress_outside_a_terminal_is_printed_as_lines(matrix, capsys):
    ALS(2, iterations=5, random_state=0).fit(matrix, progress=True, compute_loss=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("fit 1/5 loss")
    assert lines[-1].startswith("fit 5/5 loss")
