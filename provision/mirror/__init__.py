"""Writers of what a cluster downloads: signed package repositories, container images, and the servers for both.

A library without state of its own: directories, keys, names and contents are arguments, and what a module needs of
this computer (Debian packages) is its `TOOLS`. The lab fills its mirror with it; a bundle can do the same:

    key = signing.create_key(private, "me <me@example.org>")
    deb = apt.Deb("kubelet", "1.36.3-1.1", {"/usr/bin/kubelet": program})
    apt.build_deb(deb, definition, "amd64", packages / "amd64")
    apt.write_flat_repository(packages, "amd64", key, origin="example")
    images.write_layer(layer, files={"/pause": program})
    storage = images.Storage(registry, "amd64")
    storage.add_image("registry.k8s.io/pause:3.10.2", (storage.add_layer(layer),), {"Entrypoint": ["/pause"]})
    servers.files({"/": packages}, "127.0.0.1", 8080, settings)  # the command and the settings of the server

One module per package format: `apt` and `rpm` each have a package type, its `build_` function and the
`write_..._repository` functions that index and sign a directory. One definition of a package's files serves both;
signing knows no format.
"""
