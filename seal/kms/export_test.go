package kms

// Reencode decodes the record of a master key and encodes it again.
func Reencode(b []byte) ([]byte, error) {
	r, err := decodeRecord(b)
	if err != nil {
		return nil, err
	}
	return r.encode(), nil
}
