package session

import (
	"github.com/farforge/farforge/proxy-agent/build"
)

// takeCache gets the folder that the recipe's {cache} names, if it names one.
// Whose it is, the grant says, and a secret that came over this connection.
func (j *job) takeCache(choice *build.Choice) (dir string, err error) {
	if !choice.Recipe.Build.Cache {
		return "", nil
	}
	if j.host.Caches == nil {
		j.cache, err = j.host.Workspaces.NewCache()
	} else {
		owner := build.Owner{Issuer: j.grant.Issuer, Subject: j.grant.Subject, Project: j.grant.Project, Secret: j.request.Cache}
		j.cache, err = j.host.Caches.Take(owner, choice)
	}
	if err != nil {
		return "", err
	}
	j.log.Debug("the build has a cache", "warm", j.cache.Warm())
	return j.cache.Dir, nil
}

// closeCache keeps the cache for the project's next build, or removes it. What
// a build has left that was stopped, or killed, may be half-written.
func (j *job) closeCache() {
	if j.cache == nil {
		return
	}
	if j.settled {
		if err := j.cache.Keep(); err != nil {
			j.log.Info("the cache of a build is not kept", "because", err)
		}
	}
	if err := j.cache.Close(); err != nil {
		j.log.Error("something of a job was left behind", "error", err)
	}
}
