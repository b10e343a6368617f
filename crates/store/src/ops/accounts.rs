//! Users, tokens, sessions, the audit log.

use tidegate_model::error::Result;
use tidegate_model::time::Instant;

use crate::accounts::{Audit, Session, Token, User};
use crate::tx::{P, Row, Tx};

pub(crate) async fn put_user<T: Tx>(tx: &mut T, user: &User) -> Result<()> {
    let sql = "INSERT INTO users (name, role, password, created_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name) DO UPDATE SET role = excluded.role, password = excluded.password";
    let params = [P::Text(&user.name), P::Text(&user.role), P::Text(&user.password), P::Int(user.created_at.0)];
    tx.exec(sql, &params).await?;
    tx.exec("DELETE FROM sessions WHERE who = $1 AND local = 1", &params[..1]).await?;
    Ok(())
}

fn read_user(mut row: Row) -> Result<User> {
    Ok(User { name: row.text(0)?, role: row.text(1)?, password: row.text(2)?, created_at: Instant(row.int(3)?) })
}

pub(crate) async fn user<T: Tx>(tx: &mut T, name: &str) -> Result<Option<User>> {
    let sql = "SELECT name, role, password, created_at FROM users WHERE name = $1";
    tx.row(sql, &[P::Text(name)]).await?.map(read_user).transpose()
}

pub(crate) async fn users<T: Tx>(tx: &mut T) -> Result<Vec<User>> {
    let sql = "SELECT name, role, password, created_at FROM users ORDER BY name";
    tx.rows(sql, &[]).await?.into_iter().map(read_user).collect()
}

pub(crate) async fn remove_user<T: Tx>(tx: &mut T, name: &str) -> Result<bool> {
    tx.exec("DELETE FROM sessions WHERE who = $1 AND local = 1", &[P::Text(name)]).await?;
    Ok(tx.exec("DELETE FROM users WHERE name = $1", &[P::Text(name)]).await? > 0)
}

pub(crate) async fn add_token<T: Tx>(tx: &mut T, token: &Token, hash: &[u8]) -> Result<bool> {
    let sql = "INSERT INTO tokens (name, hash, scope, created_by, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING";
    let params = [
        P::Text(&token.name),
        P::Blob(hash),
        P::Text(&token.scope),
        P::Text(&token.created_by),
        P::Int(token.created_at.0),
        P::int(token.expires_at.map(|at| at.0)),
    ];
    Ok(tx.exec(sql, &params).await? > 0)
}

fn read_token(mut row: Row) -> Result<Token> {
    Ok(Token {
        name: row.text(0)?,
        scope: row.text(1)?,
        created_by: row.text(2)?,
        created_at: Instant(row.int(3)?),
        expires_at: row.opt_int(4)?.map(Instant),
        used_at: row.opt_int(5)?.map(Instant),
    })
}

pub(crate) async fn tokens<T: Tx>(tx: &mut T) -> Result<Vec<Token>> {
    let sql = "SELECT name, scope, created_by, created_at, expires_at, used_at FROM tokens ORDER BY name";
    tx.rows(sql, &[]).await?.into_iter().map(read_token).collect()
}

pub(crate) async fn token<T: Tx>(tx: &mut T, hash: &[u8]) -> Result<Option<Token>> {
    let sql = "SELECT name, scope, created_by, created_at, expires_at, used_at FROM tokens WHERE hash = $1";
    tx.row(sql, &[P::Blob(hash)]).await?.map(read_token).transpose()
}

pub(crate) async fn used<T: Tx>(tx: &mut T, hash: &[u8], now: Instant) -> Result<()> {
    tx.exec("UPDATE tokens SET used_at = $2 WHERE hash = $1", &[P::Blob(hash), P::Int(now.0)]).await?;
    Ok(())
}

pub(crate) async fn remove_token<T: Tx>(tx: &mut T, name: &str) -> Result<bool> {
    Ok(tx.exec("DELETE FROM tokens WHERE name = $1", &[P::Text(name)]).await? > 0)
}

pub(crate) async fn add_session<T: Tx>(tx: &mut T, session: &Session, hash: &[u8]) -> Result<()> {
    tx.exec("DELETE FROM sessions WHERE expires_at < $1", &[P::Int(session.created_at.0)]).await?;
    let sql = "INSERT INTO sessions (hash, who, role, csrf, local, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let params = [
        P::Blob(hash),
        P::Text(&session.who),
        P::Text(&session.role),
        P::Text(&session.csrf),
        P::Int(i64::from(session.local)),
        P::Int(session.created_at.0),
        P::Int(session.expires_at.0),
    ];
    tx.exec(sql, &params).await?;
    Ok(())
}

pub(crate) async fn session<T: Tx>(tx: &mut T, hash: &[u8]) -> Result<Option<Session>> {
    let sql = "SELECT who, role, csrf, local, created_at, expires_at FROM sessions WHERE hash = $1";
    let Some(mut row) = tx.row(sql, &[P::Blob(hash)]).await? else { return Ok(None) };
    Ok(Some(Session {
        who: row.text(0)?,
        role: row.text(1)?,
        csrf: row.text(2)?,
        local: row.int(3)? == 1,
        created_at: Instant(row.int(4)?),
        expires_at: Instant(row.int(5)?),
    }))
}

pub(crate) async fn end_session<T: Tx>(tx: &mut T, hash: &[u8]) -> Result<()> {
    tx.exec("DELETE FROM sessions WHERE hash = $1", &[P::Blob(hash)]).await?;
    Ok(())
}

pub(crate) async fn audit<T: Tx>(tx: &mut T, line: &Audit) -> Result<()> {
    let sql = "INSERT INTO audit (at, who, action, target, detail, outcome) VALUES ($1, $2, $3, $4, $5, $6)";
    let params = [
        P::Int(line.at.0),
        P::Text(&line.who),
        P::Text(&line.action),
        P::Text(&line.target),
        P::Text(&line.detail),
        P::Text(&line.outcome),
    ];
    tx.exec(sql, &params).await?;
    Ok(())
}

pub(crate) async fn audit_lines<T: Tx>(tx: &mut T, before: Option<i64>, limit: u32) -> Result<Vec<Audit>> {
    let sql = "SELECT id, at, who, action, target, detail, outcome FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let rows = tx.rows(sql, &[P::Int(before.unwrap_or(i64::MAX)), P::Int(i64::from(limit))]).await?;
    let line = |mut row: Row| {
        Ok(Audit {
            id: row.int(0)?,
            at: Instant(row.int(1)?),
            who: row.text(2)?,
            action: row.text(3)?,
            target: row.text(4)?,
            detail: row.text(5)?,
            outcome: row.text(6)?,
        })
    };
    rows.into_iter().map(line).collect()
}
