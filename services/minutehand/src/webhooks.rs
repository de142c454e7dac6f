//! How webhooks are sent: the settings that `dev` and a cluster's worker share, under the same names.

use minutehand_worker::{Network, Secret, WebhookConfig};

/// The built-in values, as texts: those of the executor itself.
pub(crate) const PORTS_DEFAULT: &str = "80,443";
pub(crate) const TIMEOUT_MS_DEFAULT: &str = "30000";
pub(crate) const TIMEOUT_MS_MAX_DEFAULT: &str = "3600000";

/// What each setting does, in the words of `config show`.
pub(crate) mod help {
    pub(crate) const URL: &str = "where every execution is posted; else its header minutehand-url says";
    pub(crate) const SECRET_FILE: &str = "a file with what webhooks are signed with: whsec_ and Base64";
    pub(crate) const SECRET_PREVIOUS_FILE: &str =
        "the secret before it, which signs as well while receivers change";
    pub(crate) const PORTS: &str = "ports that webhooks may call";
    pub(crate) const ALLOW_CIDRS: &str =
        "networks that webhooks may call though they are not public: 10.2.0.0/16,...";
    pub(crate) const PRIVATE_NETWORKS: &str =
        "webhooks may call any address on any port, loopback and private ones too";
    pub(crate) const TIMEOUT_MS: &str =
        "longest time for one webhook, unless its header minutehand-timeout-ms says otherwise";
    pub(crate) const TIMEOUT_MS_MAX: &str = "the most that this header is granted for a webhook";
}

/// Builds the configuration. `text` answers the value of a setting by its name without a section, empty for none;
/// `secrets` are those to sign with, each with the name of its setting. An error is for whoever wrote the settings.
pub(crate) fn config<'a>(
    text: impl Fn(&str) -> &'a str,
    secrets: Vec<(&'static str, String)>,
) -> Result<WebhookConfig, String> {
    let number =
        |name: &str| text(name).parse().map_err(|_| format!("{name} is {:?}, no number", text(name)));
    let list =
        |name: &str| text(name).split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let url = Some(text("webhook_url")).filter(|url| !url.is_empty()).map(str::to_owned);
    let port = |given: &str| match given.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("webhook_ports has {given:?}; a port is a number from 1 to 65535")),
    };
    let secret = |(name, secret): (&str, String)| {
        Secret::parse(secret.trim()).map_err(|error| format!("{name}: {error}"))
    };
    let network =
        |given: &str| given.parse::<Network>().map_err(|error| format!("webhook_allow_cidrs: {error}"));
    Ok(WebhookConfig {
        url,
        secrets: secrets.into_iter().map(secret).collect::<Result<_, _>>()?,
        ports: list("webhook_ports").into_iter().map(port).collect::<Result<_, _>>()?,
        networks: list("webhook_allow_cidrs").into_iter().map(network).collect::<Result<_, _>>()?,
        allow_private_networks: text("webhook_private_networks") == "true",
        timeout_ms: number("webhook_timeout_ms")?,
        timeout_ms_max: number("webhook_timeout_ms_max")?,
        ..WebhookConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(changes: &[(&str, &'static str)]) -> Result<WebhookConfig, String> {
        let text = |name: &str| match changes.iter().find(|(changed, _)| *changed == name) {
            Some((_, value)) => *value,
            None => match name {
                "webhook_ports" => PORTS_DEFAULT,
                "webhook_timeout_ms" => TIMEOUT_MS_DEFAULT,
                "webhook_timeout_ms_max" => TIMEOUT_MS_MAX_DEFAULT,
                _ => "",
            },
        };
        config(text, Vec::new())
    }

    #[test]
    fn built_in_values_are_those_of_the_executor() {
        let (built, default) = (built(&[]).expect("accepted"), WebhookConfig::default());
        assert_eq!(
            (built.ports, built.timeout_ms, built.timeout_ms_max),
            (default.ports, default.timeout_ms, default.timeout_ms_max)
        );
    }

    #[test]
    fn what_is_refused_names_the_setting_and_the_value() {
        for (name, value, says) in [
            ("webhook_ports", "80,0", "webhook_ports has \"0\""),
            ("webhook_ports", "http", "webhook_ports has \"http\""),
            ("webhook_allow_cidrs", "10.0.0.0/8, 10.2", "webhook_allow_cidrs: \"10.2\" is not a network"),
            ("webhook_allow_cidrs", "10.2.0.7/16", "the network is 10.2.0.0/16"),
        ] {
            let error = built(&[(name, value)]).expect_err(value);
            assert!(error.contains(says), "{error}");
        }
        let error = config(
            |name| if name.contains("timeout") { "1" } else { "" },
            vec![("webhook_secret_file", "x".into())],
        );
        assert!(error.expect_err("no secret").starts_with("webhook_secret_file: "));
    }
}
