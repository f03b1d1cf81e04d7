package front

import (
	"slices"
	"strings"

	utls "github.com/refraction-networking/utls"
)

// imitations are the handshakes to imitate, under Snowflake's names for them. It
// lacks those that a client cannot keep up (with session resumption, and randomized
// ones that offer h2 only sometimes) and Firefox 102, whose form in utls offers h2
// alone: servers without h2 close the connection.
func imitations() map[string]utls.ClientHelloID {
	return map[string]utls.ClientHelloID{
		"hellorandomizedalpn":     randomized(utls.HelloRandomizedALPN),
		"hellorandomizednoalpn":   randomized(utls.HelloRandomizedNoALPN),
		"hellofirefox_auto":       utls.HelloFirefox_Auto,
		"hellofirefox_55":         utls.HelloFirefox_55,
		"hellofirefox_56":         utls.HelloFirefox_56,
		"hellofirefox_63":         utls.HelloFirefox_63,
		"hellofirefox_65":         utls.HelloFirefox_65,
		"hellofirefox_99":         utls.HelloFirefox_99,
		"hellofirefox_105":        utls.HelloFirefox_105,
		"hellofirefox_120":        utls.HelloFirefox_120,
		"hellochrome_auto":        utls.HelloChrome_Auto,
		"hellochrome_58":          utls.HelloChrome_58,
		"hellochrome_62":          utls.HelloChrome_62,
		"hellochrome_70":          utls.HelloChrome_70,
		"hellochrome_72":          utls.HelloChrome_72,
		"hellochrome_83":          utls.HelloChrome_83,
		"hellochrome_87":          utls.HelloChrome_87,
		"hellochrome_96":          utls.HelloChrome_96,
		"hellochrome_100":         utls.HelloChrome_100,
		"hellochrome_102":         utls.HelloChrome_102,
		"hellochrome_106_shuffle": utls.HelloChrome_106_Shuffle,
		"hellochrome_120":         utls.HelloChrome_120,
		"hellochrome_131":         utls.HelloChrome_131,
		"hellochrome_133":         utls.HelloChrome_133,
		"helloios_auto":           utls.HelloIOS_Auto,
		"helloios_11_1":           utls.HelloIOS_11_1,
		"helloios_12_1":           utls.HelloIOS_12_1,
		"helloios_13":             utls.HelloIOS_13,
		"helloios_14":             utls.HelloIOS_14,
		"helloandroid_11_okhttp":  utls.HelloAndroid_11_OkHttp,
		"helloedge_auto":          utls.HelloEdge_Auto,
		"helloedge_85":            utls.HelloEdge_85,
		"hellosafari_auto":        utls.HelloSafari_Auto,
		"hellosafari_16_0":        utls.HelloSafari_16_0,
		"hello360_auto":           utls.Hello360_Auto,
		"hello360_7_5":            utls.Hello360_7_5,
		"helloqq_auto":            utls.HelloQQ_Auto,
		"helloqq_11_1":            utls.HelloQQ_11_1,
	}
}

// Names returns the values of [Config.Imitate], sorted.
func Names() []string {
	var names []string
	for name := range imitations() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Known reports whether a name is one of Names, in any letter case.
func Known(name string) bool {
	_, ok := imitations()[strings.ToLower(name)]
	return ok
}

// randomized removes X25519MLKEM768 from the groups. Without a share for it in the
// ClientHello, servers request one, and utls cannot add it to its second hello.
func randomized(id utls.ClientHelloID) utls.ClientHelloID {
	weights := utls.DefaultWeights
	weights.CurveIDs_Append_X25519 = 0 // TLS 1.3 offers X25519 itself in any case
	id.Weights = &weights
	return id
}
