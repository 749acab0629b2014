//! What was compared, counted.

use std::collections::BTreeMap;
use std::fmt;

/// What was compared and what came of it.
#[derive(Default)]
pub struct Count {
    pub accounts: usize,
    pub lines: usize,
    /// Answers of tools, by tool.
    answers: BTreeMap<&'static str, usize>,
    pub let_in: usize,
    disagreements: usize,
    /// Answers that were not known, by their reasons.
    unknown: BTreeMap<String, usize>,
    /// Answers that were not compared, by what the tool does otherwise than the C library.
    quirks: BTreeMap<&'static str, usize>,
}

impl Count {
    /// No disagreement, and enough of both answers to tell anything.
    pub fn is_good(&self) -> bool {
        let unknown: usize = self.unknown.values().sum();
        let enough = |tool| self.answers.get(tool).unwrap_or(&0) * 5 > self.accounts * 2;
        self.disagreements == 0
            && unknown * 5 <= self.accounts
            && self.let_in * 5 > self.accounts
            && ["getent", "chage", "passwd -S", "su"]
                .into_iter()
                .all(enough)
    }

    pub fn disagreement(&mut self, what: &str) {
        self.disagreements += 1;
        eprintln!("DISAGREEMENT {what}");
    }

    pub fn answered(&mut self, tool: &'static str) {
        *self.answers.entry(tool).or_default() += 1;
    }

    pub fn quirk(&mut self, reason: &'static str) {
        *self.quirks.entry(reason).or_default() += 1;
    }

    pub fn unknown(&mut self, reason: &str) {
        let reason = reason.split(['(', ':']).next().unwrap_or_default().trim();
        *self.unknown.entry(reason.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accounts, {} shadow lines", self.accounts, self.lines)?;
        for (tool, answers) in &self.answers {
            write!(f, ", {answers} answers of {tool}")?;
        }
        let unknown: usize = self.unknown.values().sum();
        write!(
            f,
            ", {} let in, {} disagreements, {unknown} unknown",
            self.let_in, self.disagreements
        )?;
        for (reason, times) in &self.unknown {
            write!(f, "\n  {times} times unknown: {reason}")?;
        }
        for (reason, times) in &self.quirks {
            write!(f, "\n  {times} times not compared: {reason}")?;
        }
        Ok(())
    }
}
