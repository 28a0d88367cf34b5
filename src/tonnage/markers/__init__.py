"""What a test says it needs: vocabulary, requirement, stage order. Pure: no files, no pytest."""
