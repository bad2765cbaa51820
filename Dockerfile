# Holdfast as an image with nothing else in it. docker-compose.yml runs five of them.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/holdfast ./cmd/holdfast \
 && mkdir /out/data

FROM scratch
COPY --from=build /out/holdfast /holdfast
# A volume mounted here takes over the owner: the server runs without any privilege.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
EXPOSE 9000 9001 9002
ENTRYPOINT ["/holdfast"]
CMD ["server"]
