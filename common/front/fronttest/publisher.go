package fronttest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/farforge/farforge/common/amp"
)

// Publish has a handler's responses fetched through AMP caches too, as a broker
// does.
func Publish(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := amp.DecodePath(r.URL.Path)
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		inner, got := httptest.NewRequestWithContext(r.Context(), in.Method, in.Target, bytes.NewReader(in.Body)), httptest.NewRecorder()
		inner.Header.Set("Authorization", in.Authorization)
		inner.Header.Set("Content-Type", in.ContentType)
		next.ServeHTTP(got, inner)
		page, err := amp.EncodePage(&amp.Response{
			Status: got.Code, ContentType: got.Header().Get("Content-Type"), RetryAfter: got.Header().Get("Retry-After"),
			Date: time.Now().UTC().Format(http.TimeFormat), Body: got.Body.Bytes(),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", amp.TypePage)
		_, _ = w.Write(page)
	})
}
