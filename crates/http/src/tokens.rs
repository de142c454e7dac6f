//! Bearer tokens: who may call, where, and whether to change anything.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use minutehand_model::{NameError, Namespace};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use tokio::sync::watch;

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who it is, for the revisions of schedules and the access log.
    pub name: String,
    /// The namespaces it may use; `None` for all, and for what belongs to none.
    pub namespaces: Option<Vec<Namespace>>,
    /// It may ask but change nothing.
    pub read_only: bool,
}

impl Grant {
    /// Everything, for callers that nobody asks who they are.
    pub fn unrestricted(name: &str) -> Grant {
        Grant {
            name: name.to_owned(),
            namespaces: None,
            read_only: false,
        }
    }

    /// Whether it may use a namespace.
    pub fn allows(&self, namespace: &Namespace) -> bool {
        self.namespaces
            .as_ref()
            .is_none_or(|allowed| allowed.contains(namespace))
    }
}

/// A line of a token file that cannot be used. Never shows the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not `NAME TOKEN [read-only] [namespaces=A,B]`.
    #[error("token line {line}: {reason}; write: NAME TOKEN [read-only] [namespaces=A,B]")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Not a token that can be used.
    #[error("the token of {name} {reason}")]
    Single {
        /// What it is for.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Lines, but none with a token.
    #[error(
        "there is no token in it, which would let everybody in; write a line NAME TOKEN, or leave the setting out to \
         serve loopback alone without tokens"
    )]
    None,
    /// Open to others without a token.
    #[error(
        "refusing to listen on {addr} without tokens: anybody who reaches it could schedule tasks; listen on 127.0.0.1 or configure tokens"
    )]
    Open {
        /// Where it was to listen.
        addr: SocketAddr,
    },
}

/// Shortest token accepted, in bytes.
const TOKEN_BYTES_MIN: usize = 16;

#[derive(Clone)]
struct Token {
    sha256: [u8; SHA256_OUTPUT_LEN],
    grant: Grant,
}

/// The tokens that are accepted. Only their SHA-256 is kept. Empty: everybody may do everything.
/// Clones are one set: what [`Self::replace`] puts into one of them counts for all.
#[derive(Clone, Default)]
pub struct Tokens {
    tokens: Arc<watch::Sender<Arc<[Token]>>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.current().iter().map(|token| &token.grant))
            .finish()
    }
}

impl Tokens {
    /// No tokens: everybody may do everything.
    pub fn none() -> Tokens {
        Tokens::default()
    }

    /// One token for everything, named in revisions and logs.
    ///
    /// # Errors
    /// A token that is too short, or has characters that a header cannot carry.
    pub fn single(name: &str, token: &str) -> Result<Tokens, TokenError> {
        let token = token.trim();
        let reason = if token.len() < TOKEN_BYTES_MIN {
            format!(
                "has {} bytes, at least {TOKEN_BYTES_MIN} are needed",
                token.len()
            )
        } else if !is_sendable(token) {
            "has a blank or a character beyond ASCII".to_owned()
        } else {
            let grant = Grant::unrestricted(name);
            return Ok(Tokens::of(vec![Token {
                sha256: sha256_of(token),
                grant,
            }]));
        };
        Err(TokenError::Single {
            name: name.to_owned(),
            reason,
        })
    }

    /// Tokens for everything, one a line, any of which is accepted: while one takes the place of
    /// another there are two.
    ///
    /// # Errors
    /// As of a single one, for the first line that cannot be used; no token is one that is too
    /// short.
    pub fn shared(name: &str, lines: &str) -> Result<Tokens, TokenError> {
        let lines: Vec<&str> = lines
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        if lines.is_empty() {
            return Tokens::single(name, "");
        }
        let tokens = lines.into_iter().map(|line| Tokens::single(name, line));
        let tokens = tokens.collect::<Result<Vec<Tokens>, TokenError>>()?;
        Ok(Tokens::of(
            tokens
                .iter()
                .flat_map(|token| token.current().to_vec())
                .collect(),
        ))
    }

    /// Whether callers need no token.
    pub fn is_empty(&self) -> bool {
        self.current().is_empty()
    }

    /// From now on what `others` accepts is accepted, here and by every clone.
    pub fn replace(&self, others: &Tokens) {
        self.tokens.send_replace(others.current());
    }

    /// Tells when others have taken their place.
    pub(crate) fn replaced(&self) -> TokensReplaced {
        TokensReplaced(self.tokens.subscribe())
    }

    fn of(tokens: Vec<Token>) -> Tokens {
        Tokens {
            tokens: Arc::new(watch::Sender::new(tokens.into())),
        }
    }

    fn current(&self) -> Arc<[Token]> {
        Arc::clone(&self.tokens.borrow())
    }

    /// Reads lines `NAME TOKEN [read-only] [namespaces=A,B]`; TOKEN is the token itself or
    /// `sha256:` and 64 hex digits of its SHA-256. Empty lines and lines that begin with `#` are
    /// passed over.
    ///
    /// # Errors
    /// The first line that is something else or has a token that stands before it, and a text
    /// without a token.
    pub fn parse(text: &str) -> Result<Tokens, TokenError> {
        let mut tokens = Vec::new();
        let mut lines = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let refused = |reason| TokenError::Line { line, reason };
            let token = parse_line(text).map_err(refused)?;
            if let Some(before) = lines.insert(token.sha256, line) {
                return Err(refused(format!("its token is the one of line {before}")));
            }
            tokens.push(token);
        }
        if tokens.is_empty() {
            Err(TokenError::None)
        } else {
            Ok(Tokens::of(tokens))
        }
    }

    /// Keys that only who knows a token has, one for each; the first is that of the first token.
    /// Without tokens there is one that everybody has.
    pub(crate) fn lease_keys(&self) -> Vec<[u8; SHA256_OUTPUT_LEN]> {
        let tokens = self.current();
        let keys: Vec<_> = tokens.iter().map(|token| token.sha256).collect();
        if keys.is_empty() {
            vec![[0; SHA256_OUTPUT_LEN]]
        } else {
            keys
        }
    }

    /// What the bearer of a token may do; `None` when it is not known. Takes as long for every
    /// token of one length.
    pub fn grant(&self, presented: &str) -> Option<Grant> {
        let presented = digest(&SHA256, presented.as_bytes());
        let mut found = None;
        let tokens = self.current();
        for token in tokens.iter() {
            if same(&token.sha256, presented.as_ref()) {
                found = Some(&token.grant);
            }
        }
        found.cloned()
    }
}

/// Tells of tokens that are put in the place of others.
pub(crate) struct TokensReplaced(watch::Receiver<Arc<[Token]>>);

impl TokensReplaced {
    /// Waits until it has been done since the last time.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could.
            std::future::pending().await
        }
    }
}

/// Compares without telling by its duration where the difference lies.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(u8::from(a.len() != b.len()), |sum, (a, b)| {
            black_box(sum | (a ^ b))
        });
    black_box(difference) == 0
}

fn parse_line(line: &str) -> Result<Token, String> {
    let mut words = line.split_whitespace();
    let name = words.next().ok_or("it has no name")?.to_owned();
    let token = words.next().ok_or("it has no token")?;
    let sha256 = match token.strip_prefix("sha256:") {
        Some(hex) => from_hex(hex).ok_or("sha256: is not followed by 64 hex digits")?,
        None if token.len() < TOKEN_BYTES_MIN => {
            return Err(format!(
                "the token has {} bytes, at least {TOKEN_BYTES_MIN} are needed",
                token.len()
            ));
        }
        None if !is_sendable(token) => {
            return Err("the token has a character beyond ASCII, which no header carries".into());
        }
        None => sha256_of(token),
    };
    let mut grant = Grant::unrestricted(&name);
    for word in words {
        match word.strip_prefix("namespaces=") {
            Some(_) if grant.namespaces.is_some() => {
                return Err("namespaces= is given twice; write namespaces=A,B".to_owned());
            }
            Some(list) => {
                let parsed: Result<Vec<Namespace>, NameError> =
                    list.split(',').map(Namespace::parse).collect();
                grant.namespaces = Some(parsed.map_err(|error| error.to_string())?);
            }
            None if word == "read-only" && grant.read_only => {
                return Err("read-only is given twice".to_owned());
            }
            None if word == "read-only" => grant.read_only = true,
            None => return Err(format!("unknown word {word:?}")),
        }
    }
    Ok(Token { sha256, grant })
}

/// Whether a header `Authorization` can carry a token.
fn is_sendable(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn sha256_of(token: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut sha256 = [0; SHA256_OUTPUT_LEN];
    sha256.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    sha256
}

fn from_hex(text: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    if text.len() != 2 * SHA256_OUTPUT_LEN || !text.is_ascii() {
        return None;
    }
    for (index, slot) in bytes.iter_mut().enumerate() {
        *slot = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Refuses to listen where others can reach it when there are no tokens.
///
/// # Errors
/// When `addr` is not a loopback address and there are no tokens.
pub fn refuse_open_bind(addr: SocketAddr, tokens: &Tokens) -> Result<(), TokenError> {
    let is_loopback = match addr {
        SocketAddr::V4(addr) => addr.ip().is_loopback(),
        SocketAddr::V6(addr) => {
            addr.ip().is_loopback()
                || addr
                    .ip()
                    .to_ipv4_mapped()
                    .is_some_and(|ip| ip.is_loopback())
        }
    };
    match is_loopback || !tokens.is_empty() {
        true => Ok(()),
        false => Err(TokenError::Open { addr }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
        # comment
        ci    0123456789abcdef0123
        view  sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 read-only namespaces=a,b
    ";

    #[test]
    fn each_of_the_shared_tokens_is_accepted() {
        let tokens =
            Tokens::shared("cluster", "the-new-token-of-all\n\nthe-old-token-of-all\n").unwrap();
        for token in ["the-new-token-of-all", "the-old-token-of-all"] {
            assert!(tokens.grant(token).is_some(), "{token}");
        }
        assert!(tokens.grant("").is_none() && tokens.grant("the-new-token-of-all\n").is_none());
        for refused in ["", "\n", "the-new-token-of-all\nshort"] {
            assert!(Tokens::shared("cluster", refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn grants_what_the_line_says() {
        let tokens = Tokens::parse(FILE).unwrap();
        assert_eq!(
            tokens.grant("0123456789abcdef0123"),
            Some(Grant::unrestricted("ci"))
        );
        let view = tokens.grant("test").unwrap();
        assert!(view.read_only);
        assert!(
            view.allows(&Namespace::parse("b").unwrap())
                && !view.allows(&Namespace::parse("c").unwrap())
        );
        for unknown in [
            "",
            "0123456789abcdef012",
            "0123456789abcdef01234",
            "sha256:9f86d081",
        ] {
            assert_eq!(tokens.grant(unknown), None);
        }
    }

    #[test]
    fn bad_lines_are_named_without_the_token() {
        for (text, reason) in [
            ("lonely", "it has no token"),
            ("a short", "the token has 5 bytes, at least 16 are needed"),
            ("a sha256:xyz", "sha256: is not followed by 64 hex digits"),
            ("a 0123456789abcdef0123 rw", "unknown word \"rw\""),
            (
                "a 0123456789abcdef0123 namespaces=a namespaces=b",
                "namespaces= is given twice; write namespaces=A,B",
            ),
            (
                "a 0123456789abcdef0123 read-only read-only",
                "read-only is given twice",
            ),
            (
                "a “0123456789abcdef0123”",
                "the token has a character beyond ASCII, which no header carries",
            ),
        ] {
            assert_eq!(
                Tokens::parse(text).unwrap_err(),
                TokenError::Line {
                    line: 1,
                    reason: reason.to_owned()
                },
            );
        }
        let shown = format!("{:?}", Tokens::parse(FILE).unwrap());
        assert!(!shown.contains("0123456789abcdef") && !shown.contains("9f86d081"));
    }

    #[test]
    fn a_text_without_a_token_lets_nobody_in() {
        for text in ["", "\n\n", "# token\n", "  # a 0123456789abcdef0123"] {
            assert_eq!(
                Tokens::parse(text).unwrap_err(),
                TokenError::None,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_token_stands_on_one_line_only() {
        let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let twice = [
            "a 0123456789abcdef0123\nb 0123456789abcdef0123 read-only".to_owned(),
            format!(
                "a sha256:{hex}\nb sha256:{} namespaces=x",
                hex.to_uppercase()
            ),
        ];
        for text in twice {
            let reason = "its token is the one of line 1".to_owned();
            assert_eq!(
                Tokens::parse(&text).unwrap_err(),
                TokenError::Line { line: 2, reason }
            );
        }
    }

    #[test]
    fn what_replaces_tokens_counts_for_every_clone() {
        let tokens = Tokens::parse(FILE).unwrap();
        let held = tokens.clone();
        tokens.replace(&Tokens::parse("new abcdefabcdefabcdef").unwrap());
        assert_eq!(
            held.grant("abcdefabcdefabcdef"),
            Some(Grant::unrestricted("new"))
        );
        assert_eq!(held.grant("0123456789abcdef0123"), None);
    }

    #[test]
    fn open_only_on_loopback() {
        let tokens = Tokens::parse(FILE).unwrap();
        for (addr, open) in [
            ("127.0.0.1:0", true),
            ("127.8.8.8:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("10.0.0.1:80", false),
        ] {
            let addr = addr.parse().unwrap();
            assert_eq!(
                refuse_open_bind(addr, &Tokens::none()).is_ok(),
                open,
                "{addr}"
            );
            assert!(refuse_open_bind(addr, &tokens).is_ok());
        }
    }
}
