//! What could not be looked at: each once, so many of them, and how many more there are.

/// Gaps that are told one by one.
const TOLD_MAX: usize = 20;

/// Gaps of one kind.
#[derive(Debug, Default)]
pub struct Gaps {
    first: Vec<String>,
    more: usize,
}

impl Gaps {
    /// Adds one.
    pub fn add(&mut self, why: impl Into<String>) {
        let why = why.into();
        if self.first.contains(&why) {
            return;
        }
        match self.first.len() < TOLD_MAX {
            true => self.first.push(why),
            false => self.more += 1,
        }
    }

    /// Takes a value, or adds why there is none.
    pub fn known<T, E: ToString>(&mut self, value: Result<T, E>) -> Option<T> {
        value.map_err(|why| self.add(why.to_string())).ok()
    }

    /// All of them in words; `of_what` says for what something could not be looked at.
    pub fn told(self, of_what: &str) -> Vec<String> {
        let Self { mut first, more } = self;
        if more > 0 {
            first.push(format!("{more} more could not be looked at for {of_what}"));
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gap_goes_unsaid() {
        let mut gaps = Gaps::default();
        gaps.add("/a");
        gaps.add("/a");
        assert_eq!(gaps.known(Err::<(), _>("/b")), None);
        assert_eq!(gaps.told("keys"), ["/a", "/b"]);
        let mut gaps = Gaps::default();
        (0..TOLD_MAX + 2).for_each(|n| gaps.add(format!("/{n}")));
        let told = gaps.told("keys");
        assert_eq!((told.len(), told[0].as_str()), (TOLD_MAX + 1, "/0"));
        assert_eq!(told[TOLD_MAX], "2 more could not be looked at for keys");
    }
}
