//! Reading the values of arguments.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use minutehand_crontab::Format;
use minutehand_model::Choice;

/// Reads an address: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for loopback.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || {
        "must be an address and a port, such as 127.0.0.1:8080, localhost:8080 or :8080".to_owned()
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    match host {
        "" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        host => {
            let mut found = (host, port)
                .to_socket_addrs()
                .map_err(|error| format!("{host:?}: {error}"))?;
            found.next().ok_or_else(wrong)
        }
    }
}

/// Reads the word of a choice; help lists the words with their meanings.
#[derive(Clone)]
pub(crate) struct Word<T> {
    /// Words of the choice that are no answer to this question.
    except: &'static [&'static str],
    choice: PhantomData<T>,
}

/// The value parser of a choice.
pub(crate) const fn word<T: Choice>() -> Word<T> {
    word_but(&[])
}

/// The same without some of its words.
pub(crate) const fn word_but<T: Choice>(except: &'static [&'static str]) -> Word<T> {
    let choice = PhantomData;
    Word { except, choice }
}

impl<T: Choice + Send + Sync> Word<T> {
    fn listed(&self) -> impl Iterator<Item = PossibleValue> {
        let except = self.except;
        T::WORDS
            .iter()
            .zip(T::MEANINGS)
            .filter(|(word, _)| !except.contains(word))
            .map(|(word, meaning)| PossibleValue::new(*word).help(meaning.trim()))
    }
}

impl<T: Choice + Send + Sync> TypedValueParser for Word<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let refused = || {
            let listed: Vec<PossibleValue> = self.listed().collect();
            PossibleValuesParser::new(listed).parse_ref(command, arg, value)
        };
        let word = value.to_str().filter(|word| !self.except.contains(word));
        match word.and_then(|word| T::of_word(word).ok()) {
            Some(choice) => Ok(choice),
            None => Err(refused()
                .err()
                .unwrap_or_else(|| clap::Error::new(ErrorKind::InvalidValue))),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.listed()))
    }
}

/// Reads the format of a crontab.
pub(super) fn crontab_format(word: &str) -> Result<Format, String> {
    match word {
        "user" => Ok(Format::User),
        "system" => Ok(Format::System),
        _ => Err("must be user or system".to_owned()),
    }
}

/// Splits `NAME=VALUE`.
pub(super) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}
