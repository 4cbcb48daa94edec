//! The report of what an author wrote and the rendered article lacks.
//!
//! Surprising: a report names elements and attributes only from fixed lists of
//! known names, so nothing an author chose can travel through it.

/// Longest report; what is removed after that goes unmentioned.
const MOST_REMOVALS: usize = 100;

/// One kind of thing that was left out of the rendered body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// What it was: `<script> element`, `onclick attribute of <a>`, `href of <a>`.
    pub what: String,
    /// Why it was left out, as part of an English sentence.
    pub reason: &'static str,
}

/// Collects distinct [`Removed`] entries in the order they were met.
#[derive(Debug, Default)]
pub(super) struct Removals(Vec<Removed>);

impl Removals {
    pub(super) fn into_list(self) -> Vec<Removed> {
        self.0
    }

    pub(super) fn add(&mut self, what: &str, reason: &'static str) {
        let known = |entry: &Removed| entry.what == what && entry.reason == reason;
        if self.0.len() < MOST_REMOVALS && !self.0.iter().any(known) {
            self.0.push(Removed { what: what.to_owned(), reason });
        }
    }

    pub(super) fn add_element(&mut self, name: &str, reason: &'static str) {
        if self.0.len() >= MOST_REMOVALS {
            return;
        }
        if is_known_element(name) {
            self.add(&format!("<{name}> element"), reason);
        } else {
            self.add("unknown element", reason);
        }
    }

    pub(super) fn add_attribute(&mut self, element: &str, attribute: &str, reason: &'static str) {
        if self.0.len() >= MOST_REMOVALS {
            return;
        }
        if KNOWN_ATTRIBUTES.contains(&attribute) {
            self.add(&format!("{attribute} attribute of <{element}>"), reason);
        } else {
            self.add("unknown attribute", reason);
        }
    }

    /// The attribute is allowed; this value of it is not.
    pub(super) fn add_value(&mut self, element: &str, attribute: &str, reason: &'static str) {
        if self.0.len() < MOST_REMOVALS {
            self.add(&format!("{attribute} of <{element}>"), reason);
        }
    }
}

fn is_known_element(name: &str) -> bool {
    super::policy::element(name).is_some() || OTHER_KNOWN_ELEMENTS.contains(&name)
}

/// Elements of HTML, SVG and `MathML` that are known but not allowed.
#[rustfmt::skip]
const OTHER_KNOWN_ELEMENTS: &[&str] = &[
    "acronym", "address", "animate", "annotation-xml", "applet", "area", "article", "aside",
    "audio", "base", "basefont", "bgsound", "big", "blink", "body", "button", "canvas", "center",
    "circle", "data", "datalist", "defs", "desc", "dialog", "dir", "ellipse", "embed", "fieldset",
    "font", "footer", "foreignobject", "form", "frame", "frameset", "g", "head", "header",
    "hgroup", "html", "iframe", "image", "isindex", "keygen", "label", "legend", "line", "link",
    "listing", "main", "map", "marquee", "math", "menu", "meta", "meter", "mfrac", "mglyph", "mi",
    "mn", "mo", "mrow", "ms", "mtext", "nav", "nobr", "noembed", "noframes", "noscript", "object",
    "optgroup", "option", "output", "param", "path", "picture", "plaintext", "polygon", "polyline",
    "portal", "progress", "rb", "rect", "rtc", "script", "search", "select", "set", "slot",
    "source", "strike", "style", "svg", "template", "text", "textarea", "title", "track", "tspan",
    "tt", "use", "video", "xmp",
];

/// Attributes that reports may name.
#[rustfmt::skip]
const KNOWN_ATTRIBUTES: &[&str] = &[
    "abbr", "accesskey", "action", "align", "alt", "aria-describedby", "aria-hidden", "aria-label",
    "aria-labelledby", "async", "autofocus", "background", "bgcolor", "border", "cellpadding",
    "cellspacing", "checked", "cite", "class", "color", "cols", "colspan", "contenteditable",
    "controls", "crossorigin", "data", "datetime", "decoding", "dir", "disabled", "download",
    "draggable", "enctype", "face", "form", "formaction", "frameborder", "headers", "height",
    "hidden", "href", "hreflang", "id", "integrity", "is", "itemid", "itemprop", "itemref",
    "itemscope", "itemtype", "label", "lang", "loading", "method", "name", "nonce", "onabort",
    "onanimationend", "onanimationstart", "onauxclick", "onbeforeinput", "onbegin", "onblur",
    "oncanplay", "onchange", "onclick", "oncontextmenu", "oncopy", "oncut", "ondblclick", "ondrag",
    "ondragend", "ondragenter", "ondragover", "ondragstart", "ondrop", "onend", "onerror",
    "onfocus", "onfocusin", "onfocusout", "onhashchange", "oninput", "oninvalid", "onkeydown",
    "onkeypress", "onkeyup", "onload", "onmessage", "onmousedown", "onmouseenter", "onmouseleave",
    "onmousemove", "onmouseout", "onmouseover", "onmouseup", "onmousewheel", "onpageshow",
    "onpaste", "onpointerdown", "onpointerenter", "onpointermove", "onpointerover", "onpointerup",
    "onresize", "onscroll", "onselect", "onstart", "onsubmit", "ontoggle", "ontouchend",
    "ontouchmove", "ontouchstart", "ontransitionend", "onunload", "onwheel", "open", "part",
    "ping", "placeholder", "poster", "readonly", "referrerpolicy", "rel", "required", "reversed",
    "role", "rows", "rowspan", "rules", "scope", "size", "sizes", "slot", "span", "spellcheck",
    "src", "srcdoc", "srcset", "start", "style", "summary", "tabindex", "target", "title",
    "translate", "type", "usemap", "valign", "value", "width", "xlink:href", "xmlns", "xml:lang",
];

impl Removed {
    /// The warning that tells of it; `pointer` is where the Markdown stood.
    pub(crate) fn warning(&self, pointer: &str) -> crate::http::Warning {
        crate::http::Warning {
            pointer: pointer.to_owned(),
            removed: Some(self.what.clone()),
            reason: self.reason.to_owned(),
        }
    }
}
