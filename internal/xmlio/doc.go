// Package xmlio reads and writes the XML of S3. What is read is hostile: Parse bounds depth and
// the number of elements, knows no DTD, and takes time and memory in proportion to the bytes it is
// given (the caller bounds those). Element reads a small document by a schema in a line, for the
// settings of a bucket: what is unknown, missing, twice there or not of its form is MalformedXML.
package xmlio
