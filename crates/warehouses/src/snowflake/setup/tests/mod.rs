//! What the printed SQL must be, whatever is asked for.

mod checker;
mod golden;
mod lexer;
mod planted;
mod refused;
mod variants;
