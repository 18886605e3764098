//! Whether a page has no markup but our own.

use super::is_harmless;

const ELEMENTS: [&str; 30] = [
    "b", "body", "code", "details", "div", "footer", "h1", "h2", "head", "html", "i", "li", "main", "meta", "ol", "p",
    "path", "rect", "span", "strong", "style", "summary", "svg", "table", "td", "th", "time", "title", "tr", "ul",
];

const ATTRIBUTES: [&str; 14] = [
    "charset",
    "class",
    "content",
    "d",
    "height",
    "http-equiv",
    "lang",
    "name",
    "open",
    "preserveAspectRatio",
    "viewBox",
    "width",
    "x",
    "y",
];

const REFERENCES: [&str; 5] = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];

/// # Errors
/// Something that is no text, no element of ours, or not closed.
pub fn check(page: &str) -> Result<(), String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").ok_or("it begins otherwise")?;
    let mut open = Vec::new();
    while let Some((text, after)) = rest.split_once('<') {
        check_text(text)?;
        let (tag, after) = after.split_once('>').ok_or("a tag has no end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
            continue;
        }
        let name = check_tag(tag)?;
        match name {
            "meta" => {}
            // Its text is not markup.
            "style" => rest = rest.split_once("</style>").ok_or("the style has no end")?.1,
            _ if tag.ends_with('/') => {}
            _ => open.push(name),
        }
    }
    check_text(rest)?;
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} are not closed")) }
}

fn check_text(text: &str) -> Result<(), String> {
    let is_text = |character: char| character == '\n' || (is_harmless(character) && character != '>');
    let is_reference = |at: usize| REFERENCES.iter().any(|reference| text[at..].starts_with(reference));
    match text.chars().all(is_text) && text.match_indices('&').all(|(at, _)| is_reference(at)) {
        true => Ok(()),
        false => Err(format!("this is no text: {text:?}")),
    }
}

/// The name of the element.
fn check_tag(tag: &str) -> Result<&str, String> {
    let (name, mut attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
    let mut is_known = ELEMENTS.contains(&name);
    while !attributes.is_empty() {
        let (attribute, rest) = match attributes.split_once("=\"") {
            Some((attribute, rest)) => (attribute, rest.split_once('"').ok_or("a value has no end")?.1),
            None => (attributes, ""),
        };
        is_known &= ATTRIBUTES.contains(&attribute);
        attributes = rest.trim_start();
    }
    if is_known { Ok(name) } else { Err(format!("this tag is not ours: {tag:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ours(body: &str) -> bool {
        check(&format!("<!DOCTYPE html>\n{body}\n")).is_ok()
    }

    #[test]
    fn our_own_markup_passes_and_no_other() {
        for body in
            ["", "a &lt; b", "<p class=\"x\">text</p>", "<svg><path d=\"M0\"/></svg>", "<details open>x</details>"]
        {
            assert!(is_ours(body), "{body}");
        }
        for body in
            ["a > b", "a & b", "<p>", "</p>", "<p></b>", "<script></script>", "<p onclick=\"x\"></p>", "\u{7f}", "<p"]
        {
            assert!(!is_ours(body), "{body}");
        }
    }
}
