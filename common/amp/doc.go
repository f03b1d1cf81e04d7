// Package amp carries requests to a broker through an AMP cache.
//
// An AMP cache fetches pages from anywhere and serves them from its own, widely
// used address. It passes on nothing but a GET and a URL, and nothing comes back
// but a page of AMP HTML. So a request travels in the path of a URL, and the
// response in the text of a page:
//
//	client                        cache                        broker
//	  │ GET https://CACHE/v/s/BROKER/amp/0…/…                     │
//	  │ SNI: CACHE                  │ GET https://BROKER/amp/0…/… │
//	  │ ───────────────────────────▶│ ───────────────────────────▶│ the request in it is
//	  │                             │                             │ answered as any other
//	  │◀────────────────────────────│◀── 200, AMP HTML ───────────│
//
// The path ([EncodePath]) has a version, a nonce, so that no cache has seen it
// before, and the [Request]. The page ([EncodePage]) has the [Response], also
// when that is an error: a cache passes on no page that has another status than
// 200. The form of the cache's URLs ([CacheURL]) is that of
// https://amp.dev/documentation/guides-and-tutorials/learn/amp-caches-and-cors/amp-cache-urls/.
//
// What does not go through: requests longer than [MaxPath], waits longer than
// the cache's patience (a few seconds), and streams. The cache sees all that a
// CDN sees, bearer tokens too.
package amp
