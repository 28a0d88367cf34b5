"""What users' suites import: simulated GPU memory and, later, ports and services."""
