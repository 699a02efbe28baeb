//! What a check found, and what to do about it.

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know; nothing has to be done.
    Note,
    /// It works, and may go wrong later.
    Warning,
    /// It does not work.
    Error,
    /// Not looked at, because of another finding.
    Skipped,
}

impl Severity {
    /// As a word for people and machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What was looked at: `connection main`, `topic shop-changes`.
    pub subject: String,
    /// Which check, one word that stays the same: `topology`, `publish`.
    pub check: &'static str,
    /// What was found, in one sentence, without a secret.
    pub what: String,
    /// A command or a sentence; empty where there is nothing to do.
    pub fix: String,
}

/// The findings about one subject, in the order in which they were made.
#[derive(Clone, Debug)]
pub(super) struct Group {
    subject: String,
    findings: Vec<Finding>,
}

impl Group {
    /// Nothing found yet.
    pub fn new(subject: String) -> Self {
        Self { subject, findings: Vec::new() }
    }

    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(Severity::Ok, check, what, "");
    }

    /// Checks that were not made, and why.
    pub fn skipped(&mut self, checks: &[&'static str], why: &str) {
        for check in checks {
            self.add(Severity::Skipped, check, why, "");
        }
    }

    pub fn add(
        &mut self,
        severity: Severity,
        check: &'static str,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let (subject, what, fix) = (self.subject.clone(), what.into(), fix.into());
        self.findings.push(Finding { severity, subject, check, what, fix });
    }
}
