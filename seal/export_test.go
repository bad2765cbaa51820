package seal

// MaxEmptyReads and GuardWindow are bounds that tests walk up to.
const (
	MaxEmptyReads = maxEmptyReads
	GuardWindow   = guardWindow
)

// ObjectKeyOf and DataKeyOf make keys of known bytes.
func ObjectKeyOf(b []byte) *ObjectKey { return &ObjectKey{hide(append([]byte(nil), b...))} }

// DataKeyOf makes a fresh data key: it can seal its stream once.
func DataKeyOf(b []byte, stream [16]byte) *DataKey {
	d := newDataKey(append([]byte(nil), b...), stream)
	(*d.p).fresh.Store(true)
	return d
}

// BytesOf reads keys for comparison.
func BytesOf(k any) []byte {
	var h hidden
	switch k := k.(type) {
	case *CustomerKey:
		h = k.hidden
	case *ObjectKey:
		h = k.hidden
	case *DataKey:
		h = k.hidden
	case *KMSKey:
		h = k.hidden
	}
	return append([]byte(nil), (*h.p).b[:]...)
}

// KMSKeyOf makes a KMS key of known bytes.
func KMSKeyOf(b []byte) *KMSKey { return &KMSKey{hide(append([]byte(nil), b...))} }
