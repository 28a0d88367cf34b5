"""TNG601 and 602: the words of the rules for Rust; `tonnage.lint.rust` finds the breaches."""

from tonnage.lint.model import Severity
from tonnage.lint.rule import Rule

UNGATED = Rule(
    "TNG601",
    "ungated-integration-test",
    Severity.ERROR,
    "A Rust integration test is not behind the `integration` feature.",
    "Tests in a crate's `tests/` need services that a plain `cargo test` does not have. They are "
    'compiled with `--features integration` only: by `#![cfg(feature = "integration")]`, by '
    "`#[cfg(...)]` on the test or its module, or by required-features in Cargo.toml.",
    "// lib/runtime/tests/lease.rs\n#[test]\nfn lease_expires() {}",
    '// lib/runtime/tests/lease.rs\n#![cfg(feature = "integration")]\n\n'
    "#[test]\nfn lease_expires() {}",
    language="rust",
)

IGNORED = Rule(
    "TNG602",
    "ignore-without-comment",
    Severity.WARNING,
    "A Rust test is ignored without a reason.",
    "Nobody will know when it may run again. A comment beside the attribute, or "
    '`#[ignore = "reason"]`, says why.',
    "#[test]\n#[ignore]\nfn long_running() {}",
    "#[test]\n#[ignore] // needs an hour; run nightly\nfn long_running() {}",
    language="rust",
)

RULES = (UNGATED, IGNORED)
