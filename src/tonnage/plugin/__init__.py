"""The door between pytest and Tonnage."""
