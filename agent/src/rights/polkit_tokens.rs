//! Tokens of a rule file of polkit(8), as far as [`super::polkit_rules`] needs them.

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or number.
    Word(Vec<u8>),
    /// A string without escapes.
    Text(Vec<u8>),
    /// Any other character.
    Mark(u8),
}

/// Tokens, and how far they are read.
#[derive(Debug)]
pub(super) struct Parsing {
    tokens: Vec<(u32, Token)>,
    at: usize,
    depth: usize,
}

/// The deepest that parentheses and negations stand in each other.
const DEPTH_MAX: usize = 64;

impl Parsing {
    /// Splits a text; `None` where a string or comment does not end, or a string has escapes.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut line = 1;
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let rest = &text[at..];
            let length = match byte {
                b'\n' => {
                    line += 1;
                    1
                }
                _ if byte.is_ascii_whitespace() => 1,
                b'/' if rest.starts_with(b"//") => {
                    memchr::memchr(b'\n', rest).unwrap_or(rest.len())
                }
                b'/' if rest.starts_with(b"/*") => {
                    let end = memchr::memmem::find(&rest[2..], b"*/")? + 4;
                    let lines = memchr::memchr_iter(b'\n', &rest[..end]).count();
                    line += u32::try_from(lines).ok()?;
                    end
                }
                b'"' | b'\'' => {
                    let end = memchr::memchr(byte, &rest[1..])?;
                    let inner = &rest[1..=end];
                    if inner.iter().any(|byte| matches!(byte, b'\\' | b'\n')) {
                        return None;
                    }
                    tokens.push((line, Token::Text(inner.to_vec())));
                    end + 2
                }
                _ if is_of_word(byte) => {
                    let end = rest.iter().position(|byte| !is_of_word(*byte));
                    let end = end.unwrap_or(rest.len());
                    tokens.push((line, Token::Word(rest[..end].to_vec())));
                    end
                }
                mark => {
                    tokens.push((line, Token::Mark(mark)));
                    1
                }
            };
            at += length;
        }
        Some(Self {
            tokens,
            at: 0,
            depth: 0,
        })
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The line of the next token.
    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.at).map_or(0, |(line, _)| *line)
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    pub(super) fn next(&mut self) -> Option<&Token> {
        let (_, token) = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    pub(super) fn is_next(&self, word: &[u8]) -> bool {
        self.peek().is_some_and(|token| token.is(word))
    }

    /// Goes beyond these words and marks if all of them are next.
    pub(super) fn takes(&mut self, words: &[&[u8]]) -> bool {
        let ahead = self.tokens.get(self.at..).unwrap_or_default();
        let all = ahead.len() >= words.len()
            && words
                .iter()
                .zip(ahead)
                .all(|(word, (_, token))| token.is(word));
        if all {
            self.at += words.len();
        }
        all
    }

    pub(super) fn expect(&mut self, words: &[&[u8]]) -> Option<()> {
        self.takes(words).then_some(())
    }

    pub(super) fn word(&mut self) -> Option<&[u8]> {
        match self.next()? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<Vec<u8>> {
        match self.next()? {
            Token::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// One more parenthesis or negation is open, if that is not too deep.
    pub(super) fn go_deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }

    pub(super) fn come_back(&mut self) {
        self.depth -= 1;
    }
}

impl Token {
    fn is(&self, word: &[u8]) -> bool {
        match self {
            Self::Word(text) => text == word,
            Self::Mark(mark) => word == [*mark],
            Self::Text(_) => false,
        }
    }
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}
