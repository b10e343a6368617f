# The container job `tidegate batch-sync` for Snowpark Container Services: one file in an empty image.
#
#   docker build --platform linux/amd64 -t REGISTRY/DATABASE/SCHEMA/REPOSITORY/tidegate:VERSION .
#
# The binary is linked statically, with zones and roots of trust compiled in: the image holds nothing else.
FROM docker.io/library/rust:1.91-bookworm AS build
WORKDIR /src
COPY . .
RUN scripts/static_job build /tidegate

FROM scratch
COPY --from=build /tidegate /tidegate
ENTRYPOINT ["/tidegate", "batch-sync"]
