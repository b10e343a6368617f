// An identity provider for the tests of signing in: oidc-provider from npm, set up by one line of JSON on stdin.
//
//   {"library": PATH, "issuer": URL, "port": N, "clients": [...], "routes": {...}, "accessS": N, "refreshS": N,
//    "tls": {"cert": PEM, "key": PEM}, "claims": {...}}
//
// It prints a line for each token that it gives ("grant authorization_code", "grant refresh_token"), and "listens PROXY"
// once it is there: with `tls` PROXY is the port of a proxy that leads whoever asks for any host here.
import { createServer as plain } from 'node:http';
import { createServer as secure } from 'node:https';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin });
const { value } = await lines[Symbol.asyncIterator]().next();
const want = JSON.parse(value);
const { default: Provider } = await import(want.library);

const provider = new Provider(want.issuer, {
  clients: want.clients,
  routes: want.routes ?? {},
  scopes: ['openid', 'offline_access', 'refresh_token', 'profile', 'email', ...(want.scopes ?? [])],
  claims: { openid: ['sub', 'roles'], email: ['email'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@example.org`, ...want.claims }) }),
  issueRefreshToken: async () => true,
  // A refresh token is good once: whoever uses an old one again loses them all.
  rotateRefreshToken: true,
  pkce: { required: () => true },
  ttl: { AccessToken: want.accessS ?? 600, RefreshToken: want.refreshS ?? 86400, Grant: 864000, Session: 3600, Interaction: 600, IdToken: 600, AuthorizationCode: 60 },
  cookies: { keys: ['only for tests'] },
});
provider.proxy = true;
provider.on('grant.success', (ctx) => console.log(`grant ${ctx.oidc.params.grant_type}`));
provider.on('grant.error', (ctx, error) => console.log(`refused ${error.error} ${error.error_detail ?? error.error_description}`));
provider.on('authorization.error', (ctx, error) => console.log(`refused ${error.error} ${error.error_detail ?? error.error_description}`));
provider.on('server_error', (ctx, error) => console.log(`broken ${error.stack}`));
// Snowflake says how long a refresh token lives; the standard has no word for it.
provider.use(async (ctx, next) => {
  await next();
  if (want.refreshS && ctx.body?.refresh_token) ctx.body.refresh_token_expires_in = want.refreshS;
});
const answer = provider.callback();
const server = want.tls ? secure(want.tls, (request, response) => {
  request.headers['x-forwarded-proto'] = 'https';
  answer(request, response);
}) : plain(answer);
server.listen(want.port ?? 0, '127.0.0.1', () => {
  const proxy = plain();
  proxy.on('connect', (_, socket, head) => {
    const inner = connect(server.address().port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      inner.write(head);
      inner.pipe(socket);
      socket.pipe(inner);
    });
    inner.on('error', () => socket.destroy());
    socket.on('error', () => inner.destroy());
  });
  proxy.listen(0, '127.0.0.1', () => console.log(`listens ${server.address().port} ${proxy.address().port}`));
});
// It ends with whoever started it.
lines.on('close', () => process.exit(0));
