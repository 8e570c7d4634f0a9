// An OpenID provider (npm's oidc-provider, certified by the OpenID Foundation) with people of its own, for tests.
// node server.mjs PORT CALLBACK LOGGED_OUT: prints "ready" once it listens. New signing keys at each start.

import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const [port, callback, loggedOut] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const GROUPS = { ada: ['notify-admins', 'staff'], bob: ['staff'], eve: ['visitors'] };

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'wavecom',
      client_secret: 'a secret for tests only',
      redirect_uris: [callback],
      post_logout_redirect_uris: [loggedOut],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [key] },
  cookies: { keys: ['a secret for tests only'] },
  claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  ttl: { Interaction: 600, Grant: 600, Session: 600, AccessToken: 600, IdToken: 600 },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: `${id}@bank.example`, groups: GROUPS[id] ?? [] }),
  }),
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
