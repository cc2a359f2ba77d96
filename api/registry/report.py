"""What an import did, as data and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from api.registry.models import SetAsideRow


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that was not imported, and why."""

    file: str
    line: int
    """First line of the row in its file, counted from 1."""
    column: str
    """Where the first fault is; empty if it is the row as a whole."""
    reason: str
    row: Mapping[str, str]
    """Its cells as they stood in the file."""

    @classmethod
    def of(cls, kept: SetAsideRow) -> "SetAside":
        """Read one back from the registry.

        Parameters
        ----------
        kept : SetAsideRow
            As it was kept.

        Returns
        -------
        SetAside
            The same as the import reported it.
        """
        return cls(kept.file, kept.line, kept.column, kept.reason, kept.row)

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}"
        return (
            f"{where}, {self.column}: {self.reason}" if self.column else f"{where}: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class FileCounts:
    """What became of the rows of one file."""

    file: str
    n_new: int
    """Written: new facts, and corrections of known ones."""
    n_unchanged: int
    """Known already with the same content."""
    n_set_aside: int

    @property
    def ncount_rows(self) -> int:
        """All rows of the file."""
        return self.n_new + self.n_unchanged + self.n_set_aside


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one import did."""

    import_id: int | None
    """Number to take it back by; None if it changed nothing."""
    folder: str
    files: tuple[FileCounts, ...]
    set_aside: tuple[SetAside, ...]
    notes: tuple[str, ...]
    """Files of the folder that were not read."""

    @property
    def n_new(self) -> int:
        """Rows written, of all files."""
        return sum(counts.n_new for counts in self.files)

    @property
    def n_unchanged(self) -> int:
        """Rows known already, of all files."""
        return sum(counts.n_unchanged for counts in self.files)

    def to_text(self, *, n_shown: int = 50) -> str:
        """Tell it in words, for a terminal.

        Parameters
        ----------
        n_shown : int, optional
            How many of the rows set aside to list.

        Returns
        -------
        str
            Several lines, without a newline at the end.
        """
        table = [["file", "new", "unchanged", "set aside"]] + [
            [each.file, f"{each.n_new}", f"{each.n_unchanged}", f"{each.n_set_aside}"]
            for each in self.files
        ]
        lines = [*_aligned(table), *self.notes, ""]
        n_set_aside = len(self.set_aside)
        if self.import_id is None:
            still = f", {count_rows(n_set_aside)} still set aside" if n_set_aside else ""
            lines.append(f"Nothing new: {count_rows(self.n_unchanged)} known already{still}.")
        else:
            lines.append(
                f"Import {self.import_id}: {count_rows(self.n_new)} written, "
                f"{self.n_unchanged} known already, {n_set_aside} set aside."
            )
        lines += listed(self.set_aside, n_shown, "`staybolt set-aside list` has all")
        if self.set_aside:
            lines.append(
                "Mend these rows and import the folder again; rows that are in stay as is."
            )
        return "\n".join(lines)


def listed(rows: Iterable[SetAside], n_shown: int, where_all: str) -> list[str]:
    """List rows that were set aside, one a line.

    Parameters
    ----------
    rows : iterable of SetAside
        The rows.
    n_shown : int
        At most so many; the rest is counted.
    where_all : str
        How to see the rest.

    Returns
    -------
    list of str
        Indented lines.
    """
    all_rows = list(rows)
    lines = [f"  {row}" for row in all_rows[:n_shown]]
    if len(all_rows) > n_shown:
        lines.append(f"  … and {len(all_rows) - n_shown} more; {where_all}")
    return lines


def count_rows(count: int) -> str:
    """Say how many rows.

    Parameters
    ----------
    count : int
        The number.

    Returns
    -------
    str
        In words for a person.

    Examples
    --------
    >>> count_rows(1), count_rows(3)
    ('1 row', '3 rows')
    """
    return "1 row" if count == 1 else f"{count} rows"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in table
    ]
