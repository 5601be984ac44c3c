"""Stand-in for ComfyUI's module of this name, around one folder that a fixture sets."""

from pathlib import Path

models_dir = ""
base_path = ""
folder_names_and_paths: dict = {}


def add_model_folder_path(folder_name, full_folder_path):
    paths, _ = folder_names_and_paths.setdefault(folder_name, ([], set()))
    if full_folder_path not in paths:
        paths.append(full_folder_path)


def get_folder_paths(folder_name):
    return list(folder_names_and_paths[folder_name][0])


def get_filename_list(folder_name):
    roots = [Path(root) for root in get_folder_paths(folder_name)]
    return sorted({str(path.relative_to(root)) for root in roots for path in root.rglob("*") if path.is_file()})


def get_full_path(folder_name, filename):
    paths = (Path(root, filename) for root in get_folder_paths(folder_name))
    return next((str(path) for path in paths if path.is_file()), None)


def get_input_directory():
    return str(Path(base_path, "input"))


def get_output_directory():
    return str(Path(base_path, "output"))


def get_temp_directory():
    return str(Path(base_path, "temp"))


def get_save_image_path(filename_prefix, output_dir, image_width=0, image_height=0):
    prefix = Path(filename_prefix)
    folder = Path(output_dir, prefix.parent)
    folder.mkdir(parents=True, exist_ok=True)
    counter = 1 + len(list(folder.glob(f"{prefix.name}_*")))
    return str(folder), prefix.name, counter, str(prefix.parent), filename_prefix
