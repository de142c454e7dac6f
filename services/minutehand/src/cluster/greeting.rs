//! The first lines a person sees.

/// One line a fact, beneath each other: what is ready, then where it is and what it uses.
pub(super) fn greeting(role: &str, facts: &[(&str, String)]) -> String {
    let title = format!("minutehand {role} is ready");
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(index, (name, value)): (usize, &(&str, String))| {
        let title = if index == 0 { title.as_str() } else { "" };
        format!(
            "{title:indent$}   {name:width$}  {value}",
            indent = title_width(role)
        )
    };
    facts
        .iter()
        .enumerate()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

fn title_width(role: &str) -> usize {
    "minutehand  is ready".len() + role.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_beneath_each_other() {
        let facts = [
            ("metrics", "http://127.0.0.1:8081/metrics".to_owned()),
            ("kafka", "k:1".to_owned()),
        ];
        let expected = "\
minutehand scheduler is ready   metrics  http://127.0.0.1:8081/metrics
                                kafka    k:1";
        assert_eq!(greeting("scheduler", &facts), expected);
    }
}
