package s3

import (
	"net/http"
	"strings"

	"holdfast/bucket/tagging"
	"holdfast/internal/xmlio"
	"holdfast/object"
)

// getObjectTagging sends a version's tags; one without has an empty set.
func (c *call) getObjectTagging() error {
	i, err := c.stat()
	if err != nil {
		return err
	}
	set, err := tagging.ParseHeader(i.Tags)
	if err != nil {
		return err
	}
	c.echoVersion(i.VersionID)
	c.sendDocument([]byte(xmlio.Document(set)))
	return nil
}

// putObjectTagging replaces a version's tags.
func (c *call) putObjectTagging() error {
	text, err := c.readBody(tagging.MaxBytes, claimsOptional)
	if err != nil {
		return err
	}
	set, err := tagging.ParseObject(text)
	if err != nil {
		return err
	}
	tags := set.Header()
	if err := c.update(object.UpdateRequest{Tags: &tags}); err != nil {
		return err
	}
	c.sendEmpty(http.StatusOK)
	return nil
}

// deleteObjectTagging takes a version's tags away.
func (c *call) deleteObjectTagging() error {
	none := ""
	if err := c.update(object.UpdateRequest{Tags: &none}); err != nil {
		return err
	}
	c.sendEmpty(http.StatusNoContent)
	return nil
}

// takeTags reads the x-amz-tagging header into the one spelling that is stored.
func (c *call) takeTags() (string, error) {
	set, err := tagging.ParseHeader(c.header("X-Amz-Tagging"))
	return set.Header(), err
}

// countTags is the number of pairs in the stored spelling.
func countTags(s string) int {
	if s == "" {
		return 0
	}
	return strings.Count(s, "&") + 1
}
