"""The vocabulary as documentation: a Markdown table, so that the page cannot drift from it."""

from tonnage.markers.vocabulary import Category, Vocabulary


def vocabulary_table(vocabulary: Vocabulary) -> str:
    """All markers of a vocabulary by category, one row each."""
    rows = ["| category | marker | meaning |", "|---|---|---|"]
    for category in Category:
        rows += [
            f"| {category.value} | `{marker.pytest_line.partition(': ')[0]}` | {marker.help} |"
            for marker in vocabulary.of(category)
        ]
    return "\n".join(rows)
