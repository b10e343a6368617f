//! Reads one Rust file as the rules need it: flat tokens with their lines, paths, functions, and which lines are test code.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A token that a rule looks at; doc comments are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// An identifier or a keyword.
    Word(String),
    /// What a string literal says.
    Text(String),
    /// Punctuation or a bracket.
    Mark(char),
}

/// One function, from its `fn` line to its closing brace.
#[derive(Debug)]
pub struct Function {
    /// Its bare name.
    pub name: String,
    /// The lines it fills.
    pub lines: RangeInclusive<usize>,
}

/// One file, read.
#[derive(Debug)]
pub struct Source {
    /// The path from the repository's root, with forward slashes.
    pub path: String,
    /// The text as it stands.
    pub text: String,
    /// Every token with its line.
    pub tokens: Vec<(usize, Token)>,
    /// Every path such as `std::fs::read` with its line; the groups of a `use` are spelled out.
    pub paths: Vec<(usize, String)>,
    /// Every function with a body, nested ones too.
    pub functions: Vec<Function>,
    /// Modules declared `#[cfg(test)] mod name;`: their files are test code.
    pub test_modules: Vec<String>,
    /// Is the whole file test code?
    pub is_test: bool,
    test_lines: Vec<RangeInclusive<usize>>,
}

impl Source {
    /// Reads `text`, or says at which line it stops being Rust.
    pub fn read(path: &str, text: &str) -> Result<Source, String> {
        let at = |e: syn::Error| format!("{path}:{}: not readable as Rust: {e}", e.span().start().line);
        let file = syn::parse_file(text).map_err(at)?;
        let stream: TokenStream = text.parse().map_err(|e: proc_macro2::LexError| at(e.into()))?;
        let mut finder = Finder::default();
        finder.visit_file(&file);
        let mut tokens = Vec::new();
        flatten(stream.clone(), &mut tokens);
        let mut paths = Vec::new();
        collect_paths(stream, "", &mut paths);
        Ok(Source {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            paths,
            functions: finder.functions,
            test_modules: finder.test_modules.iter().map(|name| format!("{}/{name}", module_folder(path))).collect(),
            is_test: !path.contains("/src/"),
            test_lines: finder.test_lines,
        })
    }

    /// Does this line belong to test code?
    pub fn tests(&self, line: usize) -> bool {
        self.is_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// The innermost function around this line, or `-`.
    pub fn function_at(&self, line: usize) -> &str {
        let around = self.functions.iter().filter(|f| f.lines.contains(&line));
        around.min_by_key(|f| f.lines.end() - f.lines.start()).map_or("-", |f| &f.name)
    }

    /// The lines at which this sequence of tokens begins. `(`, `[` and `{` are marks of their own.
    pub fn find<'a>(&'a self, sequence: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        let says = |token: &Token, wanted: &str| match token {
            Token::Word(word) => word == wanted,
            Token::Mark(mark) => wanted.len() == 1 && wanted.starts_with(*mark),
            Token::Text(_) => false,
        };
        self.tokens
            .windows(sequence.len())
            .filter(move |window| window.iter().zip(sequence).all(|((_, token), wanted)| says(token, wanted)))
            .map(|window| window[0].0)
    }
}

/// Where the outline modules of this file live.
fn module_folder(path: &str) -> &str {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder,
        _ => path.trim_end_matches(".rs"),
    }
}

/// Notes functions and test code; macros stay closed to it, so their insides are seen by the token rules only.
#[derive(Default)]
struct Finder {
    functions: Vec<Function>,
    test_lines: Vec<RangeInclusive<usize>>,
    test_modules: Vec<String>,
}

impl Finder {
    fn function(&mut self, attrs: &[syn::Attribute], sig: &syn::Signature, block: &syn::Block) {
        let lines = sig.span().start().line..=block.span().end().line;
        if attrs.iter().any(is_test_attribute) {
            self.test_lines.push(lines.clone());
        }
        self.functions.push(Function { name: sig.ident.to_string(), lines });
    }

    fn maybe_test(&mut self, attrs: &[syn::Attribute], item: &impl Spanned) {
        if attrs.iter().any(is_test_attribute) {
            self.test_lines.push(item.span().start().line..=item.span().end().line);
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.maybe_test(&item.attrs, item);
        if item.content.is_none() && item.attrs.iter().any(is_test_attribute) {
            self.test_modules.push(item.ident.to_string());
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.maybe_test(&item.attrs, item);
        visit::visit_item_impl(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.attrs, &item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`; not `any(test, …)`, which ships too.
fn is_test_attribute(attribute: &syn::Attribute) -> bool {
    if attribute.path().is_ident("cfg") {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let mut words = list.tokens.clone().into_iter();
        return match (words.next(), words.next()) {
            (Some(TokenTree::Ident(only)), None) => only == "test",
            (Some(TokenTree::Ident(all)), Some(TokenTree::Group(of))) if all == "all" => {
                of.stream().into_iter().any(|t| matches!(t, TokenTree::Ident(word) if word == "test"))
            }
            _ => false,
        };
    }
    attribute.path().segments.last().is_some_and(|last| last.ident == "test")
}

fn flatten(stream: TokenStream, out: &mut Vec<(usize, Token)>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(word) => out.push((line, Token::Word(word.to_string()))),
            TokenTree::Literal(literal) => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    out.push((line, Token::Text(text.value())));
                }
            }
            TokenTree::Punct(mark) => {
                out.push((line, Token::Mark(mark.as_char())));
            }
            TokenTree::Group(group) if is_doc(&group) => {
                while matches!(out.last(), Some((_, Token::Mark('#' | '!')))) {
                    out.pop();
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => (' ', ' '),
                };
                out.push((line, Token::Mark(open)));
                flatten(group.stream(), out);
                out.push((group.span_close().start().line, Token::Mark(close)));
            }
        }
    }
}

/// The `[doc = "…"]` behind a `#` or `#!`, which is what `///` and `//!` become.
fn is_doc(group: &proc_macro2::Group) -> bool {
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket && matches!(first, Some(TokenTree::Ident(word)) if word == "doc")
}

fn collect_paths(stream: TokenStream, prefix: &str, out: &mut Vec<(usize, String)>) {
    let mut path = String::new();
    let mut path_line = 0;
    let mut colons = 0;
    for tree in stream {
        match tree {
            TokenTree::Punct(mark) if mark.as_char() == ':' && (mark.spacing() == Spacing::Joint || colons == 1) => {
                colons += 1;
                continue;
            }
            TokenTree::Ident(word) => {
                if colons == 2 && !path.is_empty() {
                    path = format!("{path}::{word}");
                } else {
                    push_path(&mut path, path_line, out);
                    path_line = word.span().start().line;
                    path = if prefix.is_empty() { word.to_string() } else { format!("{prefix}::{word}") };
                }
            }
            TokenTree::Group(group) if colons == 2 && group.delimiter() == Delimiter::Brace => {
                collect_paths(group.stream(), &path, out);
                path.clear();
            }
            TokenTree::Group(group) => {
                push_path(&mut path, path_line, out);
                collect_paths(group.stream(), "", out);
            }
            _ => push_path(&mut path, path_line, out),
        }
        colons = 0;
    }
    push_path(&mut path, path_line, out);
}

fn push_path(path: &mut String, line: usize, out: &mut Vec<(usize, String)>) {
    if !path.is_empty() {
        out.push((line, std::mem::take(path)));
    }
}
