"""What a cluster needs: Kubernetes and VM descriptions, image, monitoring, and a local cluster to try it all out on."""
