# For a course's folder: nbgrader leaves the stubs, and waits for long cells.
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "srcnn"
c.ClearSolutions.enabled = False
c.Execute.timeout = 1800  # seconds a cell may take; nbgrader's own 30 are too few
