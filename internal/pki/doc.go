// Package pki gives a node the certificate that it shows to S3 clients. From the cluster secret it
// derives the key of the cluster's own certificate authority, so no file holds that key and every
// node of a cluster issues under the same authority.
//
//	certs/
//	  ca.pem        the authority's certificate, for clients to trust          0644
//	  public.crt    the server's certificate                                   0644
//	  private.key   the server's key (ECDSA P-256)                             0600
//
// A server certificate that this package issued is renewed when fewer than 30 days are left, when it
// lacks a host name that is now wanted, or when its key does not fit; also while the server runs. A
// certificate that somebody else issued and put there is served as it is and never replaced.
//
// Order of writes: public.crt before private.key. Whatever a crash leaves behind a certificate of our
// own is made anew at the next start; a key without a certificate is never of our making.
package pki
